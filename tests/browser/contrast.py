"""Whether the text of a page can be read: WCAG AA asks that it stands out from its ground by 4.5 to 1."""


def faint(page) -> list:
    """The visible elements whose own text is too near to the colour behind it, each with its contrast."""
    return page.evaluate(_FAINT)


_FAINT = """() => {
  const parts = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = e => {
    if (!e) return [255, 255, 255];
    const [r, g, b, a = 1] = parts(getComputedStyle(e).backgroundColor);
    if (a === 1) return [r, g, b];
    const below = ground(e.parentElement);
    return [r, g, b].map((v, i) => v * a + below[i] * (1 - a));
  };
  return [...document.querySelectorAll('body *')]
    .filter(e => e.checkVisibility() && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
    .map(e => {
      const [a, b] = [light(parts(getComputedStyle(e).color)), light(ground(e))].sort((x, y) => y - x);
      return [e.outerHTML.slice(0, 80), (a + 0.05) / (b + 0.05)];
    })
    .filter(([, ratio]) => ratio < 4.5);
}"""
