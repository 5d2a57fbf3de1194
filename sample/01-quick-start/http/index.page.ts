import { adoptionChart } from './adoption-chart.js';
import type { BrowserYear } from '../views/browser-year.view.js';
import type { Comparison } from './comparison.js';
import { DASHBOARD_PATH, ENDPOINTS } from './endpoints.constants.js';

/** The page at `GET /`: a chart from a view, and how long its query would take without one. */
export function indexPage(adoption: Comparison<BrowserYear>): string {
  const { rows, viewMs, liveMs, isSameAnswer } = adoption;
  const links = ENDPOINTS.filter(({ method }) => method === 'GET').map(
    ({ path, answers }) => `<li><a href="${path}">${path}</a>: ${answers}</li>`,
  );
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Features of the web by browser</title>
<style>
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 920px; margin: 24px auto; padding: 0 16px; }
svg { width: 100%; height: auto; } svg path { fill: none; stroke-width: 2.5; }
svg .grid { stroke: #8888; stroke-width: 1; } svg text { font-size: 13px; } svg text:not([fill]) { fill: currentColor; }
svg text[fill] { font-weight: 600; } td { padding-right: 24px; }
</style>
<h1>Features of the web by browser</h1>
<p>How many features each browser had by the end of a year, from <code>browser_year</code>.</p>
${adoptionChart(rows)}
<table>
<tr><td>from the view</td><td><strong>${viewMs.toFixed(1)} ms</strong></td></tr>
<tr><td>by the live query</td><td><strong>${liveMs.toFixed(1)} ms</strong>, ${Math.round(liveMs / viewMs)} times as long</td></tr>
<tr><td>the answers</td><td>${isSameAnswer ? 'are the same' : 'differ: the tables have changed since the last refresh'}</td></tr>
</table>
<p><a href="${DASHBOARD_PATH}/">The dashboard of the views</a></p>
<ul>${links.join('')}</ul>
</html>
`;
}
