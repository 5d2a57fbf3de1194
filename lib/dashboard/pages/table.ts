import { html, type Html } from '../html.js';

/** What may be wider than the page, and is scrolled by itself, with the keyboard too. */
export function scrollable(label: string, content: Html): Html {
  return html`<div class="scroll" role="region" aria-label="${label}" tabindex="0">
    ${content}
  </div>`;
}

interface TableOptions {
  /** What it is a table of, for those who do not see it. */
  label: string;
  /** The heads of the columns; an empty one for a column that needs none. */
  heads: readonly string[];
  rows: readonly Html[];
  /** Whether each row becomes a card on a narrow screen: its cells say what they are, and the row has a `data-key`. */
  isCards?: boolean;
}

export function table({ label, heads, rows, isCards = false }: TableOptions): Html {
  return scrollable(
    label,
    html`<table${isCards && html` class="cards"`}>
      <thead>
        <tr>
          ${heads.map((head) => (head === '' ? html`<td></td>` : html`<th scope="col">${head}</th>`))}
        </tr>
      </thead>
      <tbody${isCards && html` data-keyed`}>
        ${rows}
      </tbody>
    </table>`,
  );
}
