"""Ask one question and see which model answered, at what cost."""

import asyncio

import ymera


async def main() -> None:
    """Ask, then stream."""
    async with ymera.connect() as ai:
        answer = await ai.ask("Write a Python function that says hello", max_tokens=80)
        print(answer.response)
        print(f"-- {answer.model}, cost ${answer.cost}, {answer.latency_s:.1f} s")

        async for event in ai.stream("Say hello", max_tokens=40):
            print(event, end="", flush=True)
        print()


asyncio.run(main())
