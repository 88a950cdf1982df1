"""See which models would be asked for a prompt, without asking any (and without an event loop)."""

import ymera

with ymera.connect_sync() as ai:
    plan = ai.route("Translate 'good morning' into French")

print(f"task: {plan.profile.type}, {plan.profile.complexity}")
for candidate in plan.candidates:
    print(f"{candidate.score:.3f}  {candidate.model.id}: {candidate.reason}")
print(f"{len(plan.exclusions)} models left out")
