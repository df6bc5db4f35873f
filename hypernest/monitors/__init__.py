"""Who answers a trap that reaches machine mode: the firmware's part, played from outside the hart."""
