"""Who may do what over the network: permissions, tokens, sessions, and what was denied."""
