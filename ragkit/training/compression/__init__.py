"""Models and indexes made smaller, and what that costs."""
