import type { BrowserAdoption } from './adoption.service.js';

const WIDTH = 880;
const HEIGHT = 360;
const LEFT = 60;
const BOTTOM = 30;
const LABELS = 90;
const COLOURS = ['#1a7f4b', '#1d56c4', '#c0322b', '#9a5b00'];
const GRID_LINES = 4;

/** Lines over the years, as SVG. It holds names of browsers from the code, and numbers. */
export function adoptionChart(adoptions: readonly BrowserAdoption[]): string {
  const all = adoptions.flatMap(({ rows }) => rows);
  const years = all.map(({ year }) => year);
  const [first, last] = [Math.min(...years), Math.max(...years)];
  const most = Math.max(...all.map(({ total }) => total));
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
  const lines = adoptions.map(({ browser, rows }, position) => {
    const points = rows.map(({ year, total }) => `${x(year).toFixed(1)} ${y(total).toFixed(1)}`);
    const end = rows.at(-1);
    const colour = COLOURS[position % COLOURS.length];
    return `<path d="M${points.join('L')}" stroke="${colour}"/><text x="${WIDTH - LABELS + 6}" y="${end ? y(end.total) + 4 + position * 3 : 0}" fill="${colour}">${browser}</text>`;
  });
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="Features of the web in each browser by year">${[...grid, ...labels, ...lines].join('')}</svg>`;
}
