import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { html } from '../../../lib/dashboard/html.js';

const decoded = (text: string): string =>
  text
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&');

describe('html', () => {
  it('never lets a value break out of its place', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...`<>&"'a/=$\``) }), (value) => {
        const { text } = html`<a title="${value}">${[value]}</a>`;
        const [, inTitle = '', inText = ''] =
          /^<a title="([^"<>]*)">([^<>]*)<\/a>$/.exec(text) ?? [];
        expect([decoded(inTitle), decoded(inText)]).toEqual([value, value]);
      }),
    );
  });

  it('keeps its own output unescaped, and shows nothing for missing values', () => {
    expect(html`${html`<b>${1}</b>`}${undefined}${false}${['<', html`<i></i>`]}`.text).toBe(
      '<b>1</b>&lt;<i></i>',
    );
  });
});
