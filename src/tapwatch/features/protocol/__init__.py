"""What a packet speaks: rules as data, and the kernel that applies them."""
