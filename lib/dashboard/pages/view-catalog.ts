import { shownSize } from '../../definition/format.js';
import type { CatalogObject, InspectedView } from '../../introspection/inspected-view.js';
import type { ViewDetails } from '../readings.js';
import { html, type Html } from '../html.js';
import { viewLink } from './view-parts.js';

/** What the database has of a view: its definition, columns, indexes, and what it stands between. */
export function catalogSections({ declared, inspected, differences }: ViewDetails): Html {
  return html`${definition({ declared, inspected, differences })}
  ${
    inspected !== undefined &&
    html`${columns(inspected)} ${indexes(inspected)} ${neighbours(inspected)}`
  }`;
}

function definition({
  declared,
  inspected,
  differences,
}: Pick<ViewDetails, 'declared' | 'inspected' | 'differences'>): Html {
  return html`<h2>Definition</h2>
    ${differences?.length === 0 && html`<p>The database has it as the code declares it.</p>`}
    ${
      differences !== undefined &&
      differences.length > 0 &&
      html`<div class="problem">
        The database is not what the code declares:
        <ul>
          ${differences.map(({ description }) => html`<li>${description}</li>`)}
        </ul>
      </div>`
    }
    <div class="columns">
      <div>
        <h3>In the database</h3>
        <pre tabindex="0">${inspected?.definition ?? 'It is not there, or locked.'}</pre>
      </div>
      <div>
        <h3>In the code</h3>
        <pre tabindex="0">${declared?.query.trim()}</pre>
      </div>
    </div>`;
}

function columns({ columns: all }: InspectedView): Html {
  return html`<h2>Columns</h2>
    ${table(
      'Columns',
      ['Name', 'Type', 'Comment'],
      all.map(({ name, type, comment }) => [
        html`<code>${name}</code>`,
        html`<code>${type}</code>`,
        comment,
      ]),
    )}`;
}

function indexes({ indexes: all }: InspectedView): Html {
  if (all.length === 0) {
    return html`<h2>Indexes</h2>
      <p>It has none.</p>`;
  }
  return html`<h2>Indexes</h2>
    ${table(
      'Indexes',
      ['Name', 'Definition', 'Scans', 'Size', ''],
      all.map((index) => [
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
    )}`;
}

function neighbours({ dataSource, dependencies, dependents }: InspectedView): Html {
  const list = (objects: readonly CatalogObject[]): Html =>
    objects.length === 0
      ? html`<p>Nothing.</p>`
      : html`<ul>
          ${objects.map((each) => html`<li>${linked(dataSource, each)} <span class="soft">${each.kind.replace('-', ' ')}</span></li>`)}
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

/** Plain views and tables have no page. */
function linked(dataSource: string, { kind, schema, name }: CatalogObject): Html {
  const view = `${schema}.${name}`;
  return kind === 'materialized-view' ? viewLink({ dataSource, view }) : html`<code>${view}</code>`;
}

function table(label: string, heads: string[], rows: (Html | string | undefined)[][]): Html {
  return html`<div class="scroll" role="region" aria-label="${label}" tabindex="0">
    <table>
      <thead>
        <tr>
          ${heads.map((head) => (head === '' ? html`<td></td>` : html`<th scope="col">${head}</th>`))}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          (cells) =>
            html`<tr>
              ${cells.map((cell) => html`<td>${cell}</td>`)}
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}
