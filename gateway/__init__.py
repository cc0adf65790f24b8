"""The gateway: takes intents in over HTTP, enqueues them, and answers with their outcome.  It decides nothing."""
