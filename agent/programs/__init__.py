"""The user's programs: started, kept running, told what to do, and told of."""

from agent.programs.programs import Programs
from agent.programs.states import ProgramError, ProgramState

__all__ = ["ProgramError", "ProgramState", "Programs"]
