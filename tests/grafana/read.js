// What a person sees of each panel: its box, texts with their colours, cells of bands, links.
() => {
  const prefix = "data-testid Panel header ";
  const panels = {};
  for (const panel of document.querySelectorAll(`[data-testid^="${prefix}"]`)) {
    const title = panel.dataset.testid.slice(prefix.length);
    const texts = [];
    const walker = document.createTreeWalker(panel, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const { parentElement: around, data } = walker.currentNode;
      const text = data.trim();
      if (text && text !== title && around.checkVisibility() && around.tagName !== "STYLE")
        texts.push([text, getComputedStyle(around).color]);
    }
    const cells = {};
    for (const line of panel.querySelectorAll("[data-line]"))
      cells[line.dataset.line] = [...line.querySelectorAll("[data-cell]")].map((cell) => [
        cell.dataset.cell,
        getComputedStyle(cell).backgroundColor,
      ]);
    const { x, y, width, height } = panel.getBoundingClientRect();
    const links = [...panel.querySelectorAll("a[href]")].map((link) => link.href);
    panels[title] = { box: { x, y, width, height }, texts, cells, links };
  }
  return panels;
}
