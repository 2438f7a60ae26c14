// Click a head: descending, ascending, as written. Cells without a value stay last either way.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], written = [...body.rows];
  const heads = [...table.tHead.querySelectorAll("th[data-column]")];
  for (const head of heads) head.querySelector("button").addEventListener("click", () => {
    const turn = {"none": "descending", "descending": "ascending"};
    const next = turn[head.getAttribute("aria-sort")] || "none";
    for (const other of heads) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", next);
    table.classList.toggle("sorted", next !== "none");
    const column = Number(head.dataset.column), sign = next === "ascending" ? 1 : -1;
    const value = row => row.cells[column] ? row.cells[column].dataset.sort : undefined;
    const compare = (one, two) => {
      const a = value(one), b = value(two);
      if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
      const isNumber = a !== "" && b !== "" && !isNaN(a) && !isNaN(b);
      return sign * (isNumber ? a - b : a.localeCompare(b, "en"));
    };
    body.append(...(next === "none" ? written : [...written].sort(compare)));
  });
}
