"""What several tests drive: sessions with their crypto done, and ways between them."""
