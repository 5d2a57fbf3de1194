import type { BrowserYear } from '../views/browser-year.view.js';

/** Desktop browsers only: all browsers would be too many lines. */
const BROWSERS = ['chrome', 'edge', 'firefox', 'safari'];

const WIDTH = 880;
const HEIGHT = 360;
const LEFT = 60;
const BOTTOM = 30;
const LABELS = 90;
const COLOURS = ['#1a7f4b', '#1d56c4', '#c0322b', '#9a5b00'];
const GRID_LINES = 4;
const LABEL_HEIGHT = 15;

/** A line chart over the years, as SVG. It needs no escaping: it contains only numbers, and browser names from the code. */
export function adoptionChart(all: readonly BrowserYear[]): string {
  const adoptions = BROWSERS.map((browser) => ({
    browser,
    rows: all.filter((row) => row.browser === browser),
  }));
  const drawn = adoptions.flatMap(({ rows }) => rows);
  const years = drawn.map(({ year }) => year);
  const [first, last] = [Math.min(...years), Math.max(...years)];
  const most = Math.max(...drawn.map(({ total }) => total));
  const x = (year: number): number =>
    LEFT + ((year - first) / Math.max(1, last - first)) * (WIDTH - LEFT - LABELS);
  const y = (total: number): number => (HEIGHT - BOTTOM) * (1 - total / most) + 6;
  const grid = Array.from({ length: GRID_LINES + 1 }, (_, line) => (most / GRID_LINES) * line).map(
    (total) =>
      `<path class="grid" d="M${LEFT} ${y(total)}H${WIDTH - LABELS}"/><text x="${LEFT - 8}" y="${y(total) + 4}" text-anchor="end">${Math.round(total).toLocaleString('en')}</text>`,
  );
  const labels = [...new Set(years)]
    .filter((year) => year % 5 === 0)
    .map((year) => `<text x="${x(year)}" y="${HEIGHT - 6}" text-anchor="middle">${year}</text>`);
  const ends = labelHeights(adoptions.map(({ rows }) => y(rows.at(-1)?.total ?? 0)));
  const lines = adoptions.map(({ browser, rows }, position) => {
    const points = rows.map(({ year, total }) => `${x(year).toFixed(1)} ${y(total).toFixed(1)}`);
    const colour = COLOURS[position % COLOURS.length];
    const label = `<text x="${WIDTH - LABELS + 6}" y="${(ends[position] ?? 0) + 4}" fill="${colour}">${browser}</text>`;
    return `<path d="M${points.join('L')}" stroke="${colour}"/>${label}`;
  });
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="Features of the web in each browser by year">${[...grid, ...labels, ...lines].join('')}</svg>`;
}

/** The height of each line's label: where the line ends, or further down if labels would overlap. */
function labelHeights(ends: readonly number[]): number[] {
  const heights = [...ends];
  const fromAbove = ends
    .map((_, position) => position)
    .sort((a, b) => (ends[a] ?? 0) - (ends[b] ?? 0));
  let free = 0;
  for (const position of fromAbove) {
    heights[position] = Math.max(heights[position] ?? 0, free);
    free = heights[position] + LABEL_HEIGHT;
  }
  return heights;
}
