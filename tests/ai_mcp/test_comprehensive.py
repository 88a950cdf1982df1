"""The user's document's own tests, against the embedded model.

Added to the document's text: its missing imports, the missing orchestrator of its second test, and
a fresh data directory with the embedded model in it for each test. No assertion was touched. The
document leaves the bodies of its real-world tests empty; ours hold what can be true without an
account. Times are not judged here: `ymera validate` measures them.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from core_services.ai_mcp.ai_orchestrator import (
    AIRequest,
    TaskComplexity,
    TaskType,
    get_orchestrator,
)
from core_services.ai_mcp.multi_model_executor import get_multi_model_executor
from core_services.ai_mcp.security.security_manager import get_security_manager
from tests.support import local_model
from tests.support.mcp_config import user_mcp_server
from tests.support.scenario import code_in, records, stored_context, stored_plan
from ymera.facade.shared import forget_shared_app

pytestmark = [pytest.mark.proves("document.tests"), pytest.mark.usefixtures("embedded_model")]


class TestAIOrchestrator:
    @pytest.mark.asyncio
    async def test_simple_request(self) -> None:
        """Test simple AI request"""
        orchestrator = get_orchestrator()
        await orchestrator.initialize()

        # Test with Gemini Flash (fast model)
        result = await orchestrator.execute(
            AIRequest(
                task_id="test_1",
                task_type=TaskType.TEXT_GENERATION,
                complexity=TaskComplexity.SIMPLE,
                prompt="Say hello",
                prefer_free=True,
            )
        )

        assert result.success
        assert result.response
        assert result.cost == 0.0

    @pytest.mark.asyncio
    async def test_code_generation(self) -> None:
        """Test code generation"""
        orchestrator = get_orchestrator()
        # Should select Codestral
        result = await orchestrator.execute(
            AIRequest(
                task_id="test_code",
                task_type=TaskType.CODE_GENERATION,
                complexity=TaskComplexity.MEDIUM,
                prompt="Create Python hello world function",
            )
        )

        assert result.success
        assert "def" in result.response.lower()


class TestMultiModel:
    @pytest.mark.asyncio
    async def test_multi_phase_execution(self) -> None:
        """Test multi-phase task"""
        executor = get_multi_model_executor()

        result = await executor.execute_with_multi_model(
            agent_name="coding_agent",
            task_description="Create a REST API",
            task_parameters={"language": "python"},
        )

        assert result.strategy_type in ["single_model", "multi_model"]
        assert result.successful_phases > 0


class TestSecurity:
    def test_injection_detection(self) -> None:
        """Test SQL injection detection"""
        security = get_security_manager()

        malicious = "'; DROP TABLE users; --"
        result = security.sanitize_input(malicious)

        assert not result["safe"]
        assert len(result["issues"]) > 0

    def test_rate_limiting(self) -> None:
        """Test rate limiting"""
        security = get_security_manager()

        # Make 101 requests
        for i in range(101):
            result = security.check_rate_limit("test_user", limit=100)
            if i < 100:
                assert result["allowed"]
            else:
                assert not result["allowed"]


class TestRealWorldTasks:
    """The document's comments stand; what it says of times is measured by `ymera validate`."""

    @pytest.mark.asyncio
    @pytest.mark.proves("document.simple-task")
    async def test_simple_code_task(self) -> None:
        """Simple: Hello world"""
        # Should complete in < 3 seconds
        # Should use fast model (Groq or Gemini Flash)
        result = await get_orchestrator().execute(
            AIRequest(task_id="simple", model="fast", prompt="Write a Python hello world function")
        )

        assert result.success
        assert "def" in result.response
        assert result.route is not None
        assert result.route.policy.name == "fast"
        assert result.model == local_model.SMALL
        assert result.cost == 0.0

    @pytest.mark.full
    @pytest.mark.asyncio
    @pytest.mark.proves("document.medium-task")
    async def test_medium_code_task(
        self, larger_model_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Medium: REST API with CRUD"""
        # Should complete in < 10 seconds
        # Should use specialized model (Codestral)
        monkeypatch.setenv("YMERA_LOCAL__MODELS_DIR", str(larger_model_dir))
        result = await get_orchestrator().execute(
            AIRequest(
                task_id="medium",
                prompt="Create a REST API with CRUD for books in Python",
                max_tokens=1200,
            )
        )

        assert result.success
        assert result.route is not None
        assert result.route.profile.type is TaskType.CODE_GENERATION
        assert result.route.profile.complexity is not TaskComplexity.SIMPLE
        assert {each.model.id for each in result.route.candidates} == {
            local_model.SMALL,
            local_model.LARGER,
        }
        assert result.model == local_model.LARGER
        assert result.cost == 0.0
        tree = ast.parse(code_in(result.response))
        assert len([node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]) >= 4

    @pytest.mark.full
    @pytest.mark.asyncio
    @pytest.mark.proves("document.complex-task", "document.mcp-context")
    async def test_complex_analysis_task(self, tmp_path: Path) -> None:
        """Complex: Codebase analysis"""
        # Should use multi-model approach
        # Planning: Fast model
        # Research: MCP-enhanced  # noqa: ERA001 - the document's words
        # Analysis: High-quality model
        script = tmp_path / "code_base.py"
        script.write_text(CODE_BASE_SERVER, encoding="utf-8")
        user_mcp_server("codebase", sys.executable, str(script))
        result = await get_multi_model_executor().execute_with_multi_model(
            agent_name="analysis_agent",
            task_description="Analyse the structure of this code base",
            task_parameters={},
        )
        await forget_shared_app()  # writes the records

        assert result.strategy_type == "multi_model"
        assert result.failed_phases == 0
        assert result.cost == 0.0
        by_phase = {
            name: [row for row in records() if row["id"] in outcome.request_ids]
            for name, outcome in result.phases.items()
        }
        assert stored_plan(by_phase["plan"][0])["policy"] == "fast"
        assert stored_plan(by_phase["analyse"][0])["policy"] == "best"
        research = result.phases["research"]
        assert "mcp:codebase:code://structure" in {each.source for each in research.context}
        sources = {each["source"] for each in stored_context(by_phase["research"][-1])}
        assert "mcp:codebase:code://structure" in sources


CODE_BASE_SERVER = """
from mcp.server import MCPServer

server = MCPServer("codebase")


@server.resource(
    "code://structure", name="Structure of the code base", description="Its packages and layers."
)
def structure() -> str:
    return "The code base has three packages: zebra imports heron, and heron imports osprey."


server.run("stdio")
"""
