"""What models may call, and what is brought in for them: MCP servers, built-in tools, context."""
