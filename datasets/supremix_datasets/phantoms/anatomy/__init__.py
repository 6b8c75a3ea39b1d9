"""Models of anatomy and imaging physics that the phantoms are drawn from."""
