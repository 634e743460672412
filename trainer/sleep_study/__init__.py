"""Ways of staging the band-power nights, all measured on the same people left out."""
