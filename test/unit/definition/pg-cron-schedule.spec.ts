import { describe, expect, it } from '@jest/globals';
import { pgCronProblem, pgCronSchedule } from '../../../lib/definition/pg-cron-schedule.js';

describe('pgCronSchedule', () => {
  it.each([
    ['*/20 * * * *', { minutes: [0, 20, 40] }],
    ['0 22-23 * * *', { minutes: [0], hours: [22, 23] }],
    ['5,1 4 1-10/3 * *', { minutes: [1, 5], hours: [4], days: [1, 4, 7, 10] }],
    ['0 0 29 FEB *', { minutes: [0], hours: [0], days: [29], months: [2] }],
    ['0 0 * * Mon-Wed,7', { minutes: [0], hours: [0], weekdays: [0, 1, 2, 3] }],
    ['0 0 * * */2', { minutes: [0], hours: [0], weekdays: [0, 2, 4, 6] }],
  ])('reads %s', (text, fields) => {
    expect(pgCronSchedule(text)).toEqual({ ...fields, text });
  });

  it("accepts Nest's expressions, which begin with seconds, and nicknames", () => {
    expect(pgCronSchedule('0 */10 * * * *').text).toBe('*/10 * * * *');
    expect(pgCronSchedule('@daily').text).toBe('0 0 * * *');
    expect(pgCronSchedule(' 0   1 * * * ').text).toBe('0 1 * * *');
  });

  it.each([
    ['*/10 * * * * *', /seconds field can only be 0/],
    ['@reboot', /five fields, or one of @yearly/],
    ['0 0 L * *', /"L" for the days/],
    ['0 0 15W * *', /"15W" for the days/],
    ['0 0 * * 1#2', /"1#2" for the weekdays/],
    ['5/10 * * * *', /"5\/10" for the minutes/],
    ['? * * * *', /"\?" for the minutes/],
    ['0 0 * * FRI-MON', /"FRI-MON" for the weekdays/],
    ['60 * * * *', /"60" for the minutes/],
    ['*/0 * * * *', /"\*\/0" for the minutes/],
    ['*/10 * * * MONDAY', /"MONDAY" for the weekdays/],
    ['0 0 1 * 1', /cron\.match_dom_and_dow/],
    ['0 0 */2 * 1', /cron\.match_dom_and_dow/],
    ['0 0 * *', /five fields/],
    ['', /five fields/],
  ])('says why pg_cron cannot run %j', (expression, problem) => {
    expect(pgCronProblem(expression)).toMatch(problem);
  });
});
