"""The embedded stack: Postgres, a broker, the stand-ins and the mesh, started and supervised on one machine.

    from sandbox.stack import Stack, StackOptions

    with Stack(tmp_path, StackOptions(only={"stores", "outside"})) as stack:
        settings = shared.settings.load(stack.environment())   # what every program was given
        stack.describe()["postgres"]                           # every URL, and the ids of the processes
        os.kill(stack.pids()["redis"], signal.SIGKILL)         # the supervisor starts it again
        stack.restart("gateway")                               # returns when it is ready again

`only` takes names of programs ("postgres", "redis", "stripe", "razorpay", "delhivery", "mailbox", "gateway",
"worker-<group>", "beat", "flower") and of rooms ("stores", "outside", "mesh", and "workers" for all workers); without
it everything runs.  Each stack has a root directory of its own for its data, logs (`<root>/log/<program>.log`) and
secrets, a private directory for its sockets, and free ports; any number of them may run at once.  A stack ends with the
thread that started it, unless it is `detached`.  From a shell: `make up`, or `countermand up --detach`, whose stack
lives in `.countermand`.
"""

from sandbox.stack.options import StackError, StackOptions
from sandbox.stack.stack import AlreadyRunning, Stack

__all__ = ["AlreadyRunning", "Stack", "StackError", "StackOptions"]
