"""The pool of worker groups: slots, health, consensus, control over Ray's processes."""
