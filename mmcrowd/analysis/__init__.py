"""Reports and figures for people, built from data and results; nothing else imports them."""
