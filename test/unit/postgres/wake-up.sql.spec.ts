import { describe, expect, it } from '@jest/globals';
import { wakeUpChannel } from '../../../lib/postgres/wake-up.sql.js';

describe('wakeUpChannel', () => {
  it('is named after the state schema', () => {
    expect(wakeUpChannel('own')).toBe('own_wake_up');
  });

  it('fits into 63 bytes for any length, and stays different', () => {
    const channels = ['ö'.repeat(31), `${'ö'.repeat(30)}x`].map(wakeUpChannel);
    channels.forEach((channel) => expect(Buffer.byteLength(channel)).toBeLessThan(64));
    expect(new Set(channels).size).toBe(2);
  });
});
