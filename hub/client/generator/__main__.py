"""Write the client anew from the routes of all plugins that are shipped."""

from pathlib import Path

from hub.client.generator.modules import modules
from hub.client.generator.shipped import document

FOLDER = Path(__file__).parents[1]

for name, text in modules(document()).items():
    (FOLDER / name).write_text(text)
