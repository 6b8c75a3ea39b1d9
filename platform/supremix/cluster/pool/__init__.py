"""The pool of worker groups: slots, health, agreement, control over Ray's processes."""
