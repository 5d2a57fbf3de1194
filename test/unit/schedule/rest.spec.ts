import { describe, expect, it } from '@jest/globals';
import type { ViewDefinition } from '../../../lib/definition/view-definition.js';
import { Rest } from '../../../lib/schedule/rest.js';

const [one, other] = [{}, {}] as [ViewDefinition, ViewDefinition];

describe('a rest', () => {
  it('is over before it begins', () => {
    expect(new Rest().isOver([])).toBe(true);
  });

  it('is over at once for a view that it was not known for, such as one whose job was started', () => {
    const rest = new Rest();
    rest.begin(60_000, [one]);
    expect(rest.isOver([one])).toBe(false);
    expect(rest.isOver([])).toBe(false);
    expect(rest.isOver([one, other])).toBe(true);
  });
});
