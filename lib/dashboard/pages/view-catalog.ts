import { shownSize } from '../../definition/format.js';
import type { CatalogObject, InspectedView } from '../../introspection/inspected-view.js';
import { nameKey, type ViewDetails, type ViewName } from '../readings.js';
import { html, type Html } from '../html.js';
import { table } from './table.js';
import { viewLink } from './view-parts.js';

/** A view in the database: its definition, columns, indexes and neighbours. */
export function catalogSections(
  { declared, inspected, differences }: ViewDetails,
  pages: readonly ViewName[],
): Html {
  return html`${definition({ declared, inspected, differences })}
  ${
    inspected !== undefined &&
    html`${columns(inspected)} ${indexes(inspected)} ${neighbours(inspected, pages)}`
  }`;
}

function definition({
  declared,
  inspected,
  differences,
}: Pick<ViewDetails, 'declared' | 'inspected' | 'differences'>): Html {
  return html`<h2>Definition</h2>
    ${differences?.length === 0 && html`<p>The database matches the code.</p>`}
    ${
      differences !== undefined &&
      differences.length > 0 &&
      html`<div class="problem">
        The database differs from the code:
        <ul>
          ${differences.map(({ description }) => html`<li>${description}</li>`)}
        </ul>
      </div>`
    }
    <div class="columns">
      <div>
        <h3>In the database</h3>
        <pre tabindex="0">${inspected?.definition ?? 'The view is missing or locked.'}</pre>
      </div>
      <div>
        <h3>In the code</h3>
        <pre tabindex="0">${declared?.query.trim()}</pre>
      </div>
    </div>`;
}

function columns({ columns: all }: InspectedView): Html {
  return html`<h2>Columns</h2>
    ${table({
      label: 'Columns',
      heads: ['Name', 'Type', 'Comment'],
      rows: all.map(({ name, type, comment }) =>
        row([html`<code>${name}</code>`, html`<code>${type}</code>`, comment]),
      ),
    })}`;
}

function indexes({ indexes: all }: InspectedView): Html {
  if (all.length === 0) {
    return html`<h2>Indexes</h2>
      <p>It has none.</p>`;
  }
  return html`<h2>Indexes</h2>
    ${table({
      label: 'Indexes',
      heads: ['Name', 'Definition', 'Scans', 'Size', ''],
      rows: all.map((index) =>
        row([
          html`<code>${index.name}</code>`,
          html`<code>${index.definition ?? index.method}</code>`,
          index.scanCount.toLocaleString('en'),
          index.sizeBytes === undefined ? '–' : shownSize(index.sizeBytes),
          [
            index.isUnique && 'unique',
            !index.isValid && 'not valid: building it failed',
            index.allowsConcurrently && 'allows concurrently',
          ]
            .filter((each) => each !== false)
            .join(', '),
        ]),
      ),
    })}`;
}

function neighbours(
  { dataSource, dependencies, dependents }: InspectedView,
  pages: readonly ViewName[],
): Html {
  const known = new Set(pages.map(nameKey));
  const item = ({ kind, schema, name }: CatalogObject): Html => {
    const found = { dataSource, view: `${schema}.${name}` };
    const hasPage = kind !== 'function' && known.has(nameKey(found));
    return html`<li>
      ${hasPage ? viewLink(found) : html`<code>${found.view}</code>`}
      <span class="soft">${kind.replace('-', ' ')}</span>
    </li>`;
  };
  const list = (objects: readonly CatalogObject[]): Html =>
    objects.length === 0
      ? html`<p>Nothing.</p>`
      : html`<ul>
          ${objects.map(item)}
        </ul>`;
  return html`<div class="columns">
    <div>
      <h2>It reads</h2>
      ${list(dependencies)}
    </div>
    <div>
      <h2>Read by</h2>
      ${list(dependents)}
    </div>
  </div>`;
}

function row(cells: readonly (Html | string | undefined)[]): Html {
  return html`<tr>
    ${cells.map((cell) => html`<td>${cell}</td>`)}
  </tr>`;
}
