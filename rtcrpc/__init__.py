"""Call a function on another device."""
