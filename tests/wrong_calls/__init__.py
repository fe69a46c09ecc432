"""Wrong calls, and what each of their errors must say: expressions that `test_wrong_calls` evaluates."""
