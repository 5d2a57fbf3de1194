/** The result of `html`: the only text that goes into a page unescaped. */
export class Html {
  constructor(readonly text: string) {}
}

/** Numbers and text are escaped; nothing stands for `undefined` and `false`. */
export type HtmlValue = Html | string | number | undefined | false | readonly HtmlValue[];

const ENTITIES: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/**
 * HTML in which each value is escaped, for text and for attributes in double quotes. A value must not be used anywhere
 * else: not in a tag's name, an unquoted attribute or a script.
 */
export function html(strings: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  const texts = collapsed(strings);
  let made = texts[0] ?? '';
  values.forEach((value, position) => {
    made += escaped(value) + (texts[position + 1] ?? '');
  });
  return new Html(made);
}

const KNOWN = new WeakMap<TemplateStringsArray, string[]>();

/** A template without its indentation, which would be a third of a long page. */
function collapsed(strings: TemplateStringsArray): string[] {
  const known = KNOWN.get(strings) ?? strings.map((text) => text.replaceAll(/\s+/g, ' '));
  KNOWN.set(strings, known);
  return known;
}

function escaped(value: HtmlValue): string {
  if (value instanceof Html) {
    return value.text;
  }
  if (typeof value === 'object') {
    return value.map(escaped).join('');
  }
  return value === undefined || value === false
    ? ''
    : String(value).replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? '');
}
