"""The fault harness: task bodies run in this process, and every one of their steps can be the last.

Real are the gateway's application, the tasks on the real Celery application, Postgres with its locks and constraints,
the store, the providers' SDKs, and the strict stand-ins that they, the courier's adapter and SMTP reach over loopback.
Replaced is the broker alone (`transport`): which message comes next, twice, late or never is decided by the test.
Nothing in the mesh knows of it: the harness stands at the edges of the libraries (`edges`), where bytes leave the
process.

There every commit, provider or courier call, mail and publish is a numbered boundary (`boundaries`).  A process can be
killed before or after each one's effect: it ends where it is, and its connection to Postgres is cut.  Several processes
can be made to take turns at their boundaries, with real row locks (`scheduler`).  Time passes by moving every moment in
the rows further into the past (`Rig.pass_time`), so nobody sleeps.  When nothing is due any more, `checks` holds the
rows against the ledgers of the providers and the courier.

To add an operation, add its row to `operations.OPERATIONS`: its name, how an order gets ready for it, the request or
message that begins it (`sales`, `parcels`), and what the stand-in calls its request to the provider.  It is then killed
at every boundary, run against every other operation in every interleaving, and combined with every misbehavior in
`faults.FAULTS` (`hunts`).  What beat wakes and what the workers' application includes is found by itself.
"""
