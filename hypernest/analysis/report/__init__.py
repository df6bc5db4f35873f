"""What the classifier found, for people and for programs: terminal, explanation, JSON, HTML, Markdown."""
