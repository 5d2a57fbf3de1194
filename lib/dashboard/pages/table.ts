import { html, type Html } from '../html.js';

/** Something that may be wider than the page and scrolls by itself, with the keyboard too. */
export function scrollable(label: string, content: Html): Html {
  return html`<div class="scroll" role="region" aria-label="${label}" tabindex="0">
    ${content}
  </div>`;
}

interface TableOptions {
  /** What the table shows, for screen readers. */
  label: string;
  /** The column headings; an empty one for a column that needs none. */
  heads: readonly string[];
  rows: readonly Html[];
  /**
   * Whether each row becomes a card on a narrow screen: its cells carry their headings, and the row has a `data-key`.
   */
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
