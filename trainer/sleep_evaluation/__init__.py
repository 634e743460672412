"""What is said of whole nights: figures by delay, pictures, and how far experts agree."""
