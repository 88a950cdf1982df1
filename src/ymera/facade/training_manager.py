"""`core_services.ai_mcp.training.training_manager` of the user's document."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from ymera.core.errors import InvalidRequest
from ymera.facade.shared import shared_app
from ymera.learning.experience import Experience
from ymera.learning.math.ema import MAX_RATING, MIN_RATING
from ymera.learning.table import Key

__all__ = ["TrainingManager", "get_training_manager"]


class TrainingManager:
    """Learns from executions which model does which task well; the document's names over ours.

    Made without an argument it stands alone and keeps what it learns in memory;
    `get_training_manager` gives the one that every request of this process feeds, that the router
    asks, and that is kept in `ai_performance/` of the data directory. Any thread may use it.

    Args:
        experience: returns what it learns into; None = its own.
    """

    def __init__(self, experience: Callable[[], Experience] | None = None) -> None:
        self._find = partial(_itself, Experience()) if experience is None else experience

    @property
    def _experience(self) -> Experience:
        return self._find()

    @property
    def learning_rate(self) -> float:
        """Weight of the newest observation in an average, 0.1 unless set."""
        return self._experience.learning_rate

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        self._experience.learning_rate = rate

    @property
    def performance_matrix(self) -> dict[str, dict[str, float]]:
        """What was learned, by `agent:task_type:model`, as a copy.

        Each value has `executions`, `successes`, `avg_time` (seconds), `avg_rating` (0 without a
        rating, else 1..5) and `ratings` (their number). Averages start at the first observation.
        """
        return {
            str(key): {
                "executions": stats.executions,
                "successes": stats.successes,
                "avg_time": stats.avg_time,
                "avg_rating": stats.avg_rating,
                "ratings": stats.ratings,
            }
            for key, stats in self._experience.rows().items()
        }

    async def record_execution(
        self,
        agent_name: str,
        task_type: str,
        model_used: str,
        success: bool,
        response_time: float,
        user_rating: float | None = None,
    ) -> None:
        """Learn from one execution.

        Args:
            agent_name: agent that the task belongs to.
            task_type: kind of task.
            model_used: what was asked.
            success: whether it answered.
            response_time: seconds, at least 0.
            user_rating: 1..5; None, or 0 as in the document, is no rating.

        Raises:
            InvalidRequest: a time or rating out of range; nothing was learned.
        """
        key = Key(agent_name, str(task_type), model_used)
        if user_rating and not MIN_RATING <= user_rating <= MAX_RATING:
            raise InvalidRequest(
                f"A rating of {user_rating} is out of range.",
                hint="1 is worst, 5 is best.",
                param="user_rating",
            )
        self._experience.observe(key, success=success, time_s=response_time)
        if user_rating:
            self._experience.rate(key, user_rating)

    def get_optimized_model_scores(
        self, agent_name: str, task_type: str, candidate_models: Iterable[str]
    ) -> dict[str, float]:
        """Return the document's score of each candidate, 0..1; 0.5 without history.

        0.4 * success rate + 0.3 / (avg_time + 1) + 0.3 * avg_rating / 5, where a missing rating
        counts as 0: a model nobody rated falls below 0.5 once it takes more than two seconds. The
        router therefore uses a variant of it (docs/learning.md).
        """
        return self._experience.scores(agent_name, str(task_type), candidate_models)


def _itself(experience: Experience) -> Experience:
    return experience


_shared = TrainingManager(lambda: shared_app().observing.experience)


def get_training_manager() -> TrainingManager:
    """Return the process's manager, which shares what its requests teach.

    Its methods build the app at their first use, and raise what that raises (ConfigError,
    CatalogError, MachineError).
    """
    return _shared
