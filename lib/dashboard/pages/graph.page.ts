import type { ViewStatus } from '../../status/view-status.js';
import type { GraphLayout, PlacedEdge, PlacedNode } from '../graph-layout.js';
import { html, type Html } from '../html.js';
import { nameKey } from '../readings.js';
import { badgesOf } from '../view-badges.js';
import type { PageContent } from './layout.js';
import { scrollable } from './table.js';
import { viewQuery } from './view-parts.js';

/** The part of all data sources' graph that can be shown. */
export interface DrawnGraph {
  layout: GraphLayout;
  statuses: readonly ViewStatus[];
  failures: readonly string[];
}

/** What reads what, from the tables on the left to the views on the right. */
export function graphPage({ layout, statuses, failures }: DrawnGraph): PageContent {
  const states = new Map(statuses.map((status) => [nameKey(status), badgesOf(status)[0] ?? '']));
  return {
    title: 'Graph · Materialized views',
    current: 'graph',
    isLive: true,
    body: html`<h1>Graph</h1>
      ${failures.map((failure) => html`<p class="problem">${failure}</p>`)}
      <p class="soft">
        Tables are on the left, the views that read them to the right. Select a view to open its
        page.
      </p>
      ${scrollable('Graph', drawing(layout, states))}`,
  };
}

function drawing(layout: GraphLayout, states: ReadonlyMap<string, string>): Html {
  return html`<svg
    class="graph"
    width="${layout.width}"
    height="${layout.height}"
    viewBox="0 0 ${layout.width} ${layout.height}"
  >
    <defs>
      <marker
        id="arrow"
        viewBox="0 0 8 8"
        refX="8"
        refY="4"
        markerWidth="8"
        markerHeight="8"
        orient="auto"
      >
        <path d="M0 0 8 4 0 8z" />
      </marker>
    </defs>
    ${layout.edges.map(edge)}
    ${layout.nodes.map((each) => node(each, states.get(nameKey({ ...each, view: each.label }))))}
  </svg>`;
}

function edge({ points }: PlacedEdge): Html {
  const [start, ...others] = points.map(({ x, y }) => `${Math.round(x)} ${Math.round(y)}`);
  return html`<path d="M${start} L${others.join(' ')}" marker-end="url(#arrow)" />`;
}

function node(each: PlacedNode, state: string | undefined): Html {
  const { label, kind, hasPage, dataSource } = each;
  const said = hasPage ? (state ?? 'unknown') : kind.replace('-', ' ');
  const box = html`<rect
      x="${Math.round(each.x - each.width / 2)}"
      y="${Math.round(each.y - each.height / 2)}"
      width="${Math.round(each.width)}"
      height="${Math.round(each.height)}"
      rx="6"
    />
    <text x="${Math.round(each.x)}" y="${Math.round(each.y)}" text-anchor="middle">${label}</text>
    <text
      class="state"
      x="${Math.round(each.x)}"
      y="${Math.round(each.y + 15)}"
      text-anchor="middle"
      >${said}</text
    >`;
  const classes = said.replaceAll(' ', '-');
  return hasPage
    ? html`<a
        class="${classes}"
        href="view?${viewQuery({ dataSource, view: label })}"
        aria-label="${label}, ${said}"
        >${box}</a
      >`
    : html`<g class="${classes}">${box}</g>`;
}
