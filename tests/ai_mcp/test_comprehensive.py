"""The user's document's own tests, against the embedded model.

Added to the document's text: its missing imports, the missing orchestrator of its second test, a
fresh data directory with the embedded model in it for each test, and marks. Tests of parts that
are not built yet import inside themselves and are expected to fail, strictly: the mark has to go
when the part lands. No assertion was touched.
"""

from __future__ import annotations

import pytest

from core_services.ai_mcp.ai_orchestrator import (
    AIRequest,
    TaskComplexity,
    TaskType,
    get_orchestrator,
)

pytestmark = [pytest.mark.proves("document.tests"), pytest.mark.usefixtures("embedded_model")]

not_built_yet = pytest.mark.xfail(
    raises=ModuleNotFoundError, strict=True, reason="this part of the document is not built yet"
)


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
    @not_built_yet
    @pytest.mark.asyncio
    async def test_multi_phase_execution(self) -> None:
        """Test multi-phase task"""
        from core_services.ai_mcp.multi_model_executor import get_multi_model_executor  # type: ignore[import-untyped]  # not built yet

        executor = get_multi_model_executor()

        result = await executor.execute_with_multi_model(
            agent_name="coding_agent",
            task_description="Create a REST API",
            task_parameters={"language": "python"},
        )

        assert result.strategy_type in ["single_model", "multi_model"]
        assert result.successful_phases > 0


class TestSecurity:
    @not_built_yet
    def test_injection_detection(self) -> None:
        """Test SQL injection detection"""
        from core_services.ai_mcp.security.security_manager import get_security_manager  # type: ignore[import-untyped]  # not built yet

        security = get_security_manager()

        malicious = "'; DROP TABLE users; --"
        result = security.sanitize_input(malicious)

        assert not result["safe"]
        assert len(result["issues"]) > 0

    @not_built_yet
    def test_rate_limiting(self) -> None:
        """Test rate limiting"""
        from core_services.ai_mcp.security.security_manager import get_security_manager

        security = get_security_manager()

        # Make 101 requests
        for i in range(101):
            result = security.check_rate_limit("test_user", limit=100)
            if i < 100:
                assert result["allowed"]
            else:
                assert not result["allowed"]


class TestRealWorldTasks:
    """The document leaves these bodies empty; ours hold what can be true without an account."""

    @pytest.mark.asyncio
    async def test_simple_code_task(self) -> None:
        """Simple: Hello world"""
        # Should complete in < 3 seconds
        # Should use fast model (Groq or Gemini Flash)
        result = await get_orchestrator().execute(
            AIRequest(task_id="simple", prompt="Write a Python hello world function")
        )

        assert result.success
        assert "def" in result.response
        assert result.provider == "local"
        assert result.cost == 0.0

    @pytest.mark.asyncio
    async def test_medium_code_task(self) -> None:
        """Medium: REST API with CRUD"""
        # Should complete in < 10 seconds
        # Should use specialized model (Codestral)
        plan = get_orchestrator().route(
            AIRequest(task_id="medium", prompt="Create a REST API with CRUD for books in Python")
        )

        assert plan.profile.type is TaskType.CODE_GENERATION
        assert plan.profile.complexity is not TaskComplexity.SIMPLE
        assert all(candidate.model.free.may_auto_route for candidate in plan.candidates)
        assert plan.candidates

    @not_built_yet
    @pytest.mark.asyncio
    async def test_complex_analysis_task(self) -> None:
        """Complex: Codebase analysis"""
        # Should use multi-model approach
        # Planning: Fast model
        # Research: MCP-enhanced  # noqa: ERA001 - the document's words
        # Analysis: High-quality model
        from core_services.ai_mcp.multi_model_executor import get_multi_model_executor

        result = await get_multi_model_executor().execute_with_multi_model(
            agent_name="analysis_agent",
            task_description="Analyse the structure of this code base",
            task_parameters={},
        )

        assert result.strategy_type == "multi_model"
        assert result.failed_phases == 0
