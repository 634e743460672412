"""Made-up tables in the layout of the GSTRIDE register, for tests; nobody in them is real."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

TITLES = (
    *("Test index", "ID (VNNN)", "Notes", "Date (Month-YY)", "Falls during the last year - prior"),
    *("Type of device (CSIC/Gaitup)", "Device Id. (identifier)", "Location (place)"),
    *("Test surface (type of surface)", "Age (range of years)", "Sex (M/ F)"),
    *("Living in a nursing home (YES/NO)", "Weight (kg)", "Height (m)", "Body-mass index (BMI)"),
    *("Global Deterioration Scale (GDS) questionnaire (index)", "Time duration 4m test (s)"),
    *("Gait speed (m/s)", "Unintentional weight loss (YES/NO)"),
    *("Low energy and resistance (YES/NO)", "Gait speed clinical assessment (YES/NO)"),
    *("Manual force  (kg)", "Manual force clinical assessment (YES/NO)"),
    *("Low activity level (YES/NO)", "Frailty assessment (index)", "Balance test (index)"),
    *("Gait speed test (index)", "Chair stand test (index)", "SPPB assessment (index)"),
    *("Time duration TUG test (s)", "Short FES-I assessment (index)", "Distance (m)", "Time (s)"),
    "Strides",
    *("Stride time - Avg. (s)", "Stride time - STD (s)", "Load - Avg. (%)", "Load - STD (%)"),
    *("Foot Flat - Avg. (%)", "Foot Flat - STD (%)", "Push - Avg. (%)", "Push - STD (%)"),
    *("Swing - Avg. (%)", "Swing - STD (%)", "Toe-Off angle - Avg. (°)", "Toe-Off angle - STD (°)"),
    *("Heel-Strike angle - Avg. (°)", "Heel-Strike angle - STD (°)"),
    *("Cadence - Avg. (strides/min)", "Cadence - STD (strides/min)"),
    *("Step Speed - Avg. (m/s)", "Step Speed - STD (m/s)"),
    *("Stride Length - Avg. (m)", "Stride Length - STD (m)"),
    *("3D Path - Avg. (m)", "3D Path - STD (m)", "2D Path - Avg. (m)", "2D Path - STD (m)"),
    *("Clearance - Avg. (m)", "Clearance - STD (m)"),
)
ITEM_COLUMNS = (18, 19, 20, 22, 23)
GAIT = (
    *("1,20", "0,080", "11,0", "1,50", "42,0", "3,00", "18,0", "1,80", "29,0", "1,90"),
    *("-52,0", "5,00", "14,0", "3,00", "50,0", "3,00", "0,80", "0,100", "0,90", "0,090"),
    *("0,95", "0,080", "0,92", "0,090", "0,12", "0,020"),
)


def row(person: str, items: tuple[str, ...] = ("NO",) * 5, index: str = "0") -> list[str]:
    """Return a made-up person; ``items`` are the five Fried answers."""
    cells = [""] * len(TITLES)
    cells[1], cells[5], cells[7], cells[8] = person, "CSIC", "Consultation", "Plane"
    cells[9], cells[10], cells[11] = "80-84", "F", "NO"
    cells[16], cells[17], cells[29] = "4,00", "1,00", "Incapable"
    for column, answer in zip(ITEM_COLUMNS, items, strict=True):
        cells[column] = answer
    cells[24] = index
    cells[34:] = GAIT
    return cells


def crowd(counts: tuple[int, int, int], seed: int, *, distance: float = 1.0) -> list[list[str]]:
    """Return made-up people of the three classes; ``distance`` moves the classes apart."""
    rng = np.random.default_rng(seed)
    rows = []
    middle = np.array([float(cell.replace(",", ".")) for cell in GAIT])
    for label, n in enumerate(counts):
        for _ in range(n):
            yes = (0, 1, 3)[label]
            items = ("YES",) * yes + ("NO",) * (5 - yes)
            one = row(f"X{len(rows) + 1:03d}", items, str(yes))
            speed, tug = rng.uniform(0.4, 1.2), rng.uniform(9.0, 30.0)
            one[17], one[29] = (f"{value:.2f}".replace(".", ",") for value in (speed, tug))
            factor = 1.0 + 0.08 * rng.standard_normal(len(middle)) + 0.06 * distance * (label - 1)
            one[34:] = [f"{value:.4f}".replace(".", ",") for value in middle * factor]
            rows.append(one)
    return rows


def write(
    path: Path,
    rows: list[list[str]],
    *,
    titles: tuple[str, ...] | list[str] = TITLES,
    encoding: str = "cp1252",
    delimiter: str = ";",
    descriptions: bool = True,
) -> Path:
    """Write a table; returns its path."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\r\n")
    head = [[""] * len(titles), list(titles)]
    if descriptions:
        head.append(["é"] * len(titles))
    writer.writerows([*head, *rows])
    path.write_bytes(text.getvalue().encode(encoding))
    return path
