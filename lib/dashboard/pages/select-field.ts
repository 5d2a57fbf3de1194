import { html, type Html } from '../html.js';

interface SelectFieldOptions {
  label: string;
  name: string;
  values: readonly string[];
  /** One of the values, or something else for all of them. */
  chosen: string | undefined;
}

/** A field of a filter: one of some values, or all. */
export function selectField({ label, name, values, chosen }: SelectFieldOptions): Html {
  return html`<label
    >${label}
    <select name="${name}">
      <option value="">all</option>
      ${values.map((each) => html`<option${each === chosen && html` selected`}>${each}</option>`)}
    </select></label
  >`;
}
