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
  it('lets no value out of the place that it has', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...`<>&"'a/=$\``) }), (value) => {
        const { text } = html`<a title="${value}">${[value]}</a>`;
        const [, inTitle = '', inText = ''] =
          /^<a title="([^"<>]*)">([^<>]*)<\/a>$/.exec(text) ?? [];
        expect([decoded(inTitle), decoded(inText)]).toEqual([value, value]);
      }),
    );
  });

  it('takes what it has made as it is, and shows nothing for what is not there', () => {
    expect(html`${html`<b>${1}</b>`}${undefined}${false}${['<', html`<i></i>`]}`.text).toBe(
      '<b>1</b>&lt;<i></i>',
    );
  });
});
