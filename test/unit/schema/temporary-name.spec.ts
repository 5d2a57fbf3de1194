import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { temporaryName } from '../../../lib/schema/temporary-name.js';

describe('temporaryName', () => {
  it('is short, the same for the same subject, and different for others', () => {
    fc.assert(
      fc.property(fc.array(fc.string()), fc.array(fc.string()), (one, other) => {
        const name = temporaryName(...one);
        expect(name).toBe(temporaryName(...one));
        expect(Buffer.byteLength(name)).toBeLessThanOrEqual(63);
        expect(name === temporaryName(...other)).toBe(
          JSON.stringify(one) === JSON.stringify(other),
        );
      }),
    );
  });
});
