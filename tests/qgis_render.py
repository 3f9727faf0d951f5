"""Render every layer of a plan.gpkg in the style that QGIS itself finds there, with PyQGIS of the system.

    python3 tests/qgis_render.py PLAN.GPKG FOLDER

Writes ``<layer>.png`` for each layer and ``all.png``, and prints one JSON object: for each layer whether a
style was loaded from the file, the labels of its symbols, whether it is labelled and how many rows it has.
"""

import json
import os
import sys
from pathlib import Path

from qgis.core import QgsApplication, QgsMapRendererParallelJob, QgsMapSettings, QgsVectorLayer
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QColor

LAYERS = ("grids", "alleys", "stretches", "households", "lamps", "boards", "facilities")  # from the ground up


def main(gpkg: str, folder: str) -> None:
    """Render each layer alone, then all."""
    application = QgsApplication([], False)
    application.initQgis()
    found, shown = {}, []
    for name in LAYERS:
        layer = QgsVectorLayer(f"{gpkg}|layername={name}", name, "ogr")
        if not layer.isValid():
            continue
        shown.insert(0, layer)
        loaded = layer.loadDefaultStyle()[1]
        _render([layer], shown[-1].extent(), Path(folder) / f"{name}.png")
        found[name] = {
            "loaded": loaded,
            "labels": [each.label() for each in layer.renderer().legendSymbolItems()],
            "labelled": layer.labelsEnabled(),
            "rows": layer.featureCount(),
        }
    _render(shown, shown[-1].extent(), Path(folder) / "all.png")
    print(json.dumps(found, ensure_ascii=False), flush=True)
    os._exit(0)  # PyQGIS crashes where layers outlive the application


def _render(layers: list, extent: object, path: Path) -> None:
    settings = QgsMapSettings()
    settings.setLayers(layers)
    settings.setBackgroundColor(QColor(255, 255, 255))
    settings.setOutputSize(QSize(1400, 900))
    settings.setExtent(extent)
    settings.setDestinationCrs(layers[0].crs())
    job = QgsMapRendererParallelJob(settings)
    job.start()
    job.waitForFinished()
    job.renderedImage().save(str(path))


main(*sys.argv[1:])
