"""What the gateway and the workers both know: settings, rules, rows, queues and providers."""
