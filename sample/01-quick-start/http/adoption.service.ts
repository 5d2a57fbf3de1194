import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Repository } from 'typeorm';
import { BrowserYear } from '../views/browser-year.view.js';
import { type LiveFindOptions, LiveQueryService } from '../views/live-query.service.js';
import { compare, type Comparison } from './comparison.js';

/** All browsers, ordered by name and year. */
const ALL: LiveFindOptions<BrowserYear> = { where: {}, order: { browser: 'ASC', year: 'ASC' } };

/** How many features browsers had by the end of each year, from the view and from the live query. */
@Injectable()
export class AdoptionService {
  constructor(
    @InjectRepository(BrowserYear) private readonly browserYears: Repository<BrowserYear>,
    private readonly live: LiveQueryService,
  ) {}

  read(): Promise<Comparison<BrowserYear>> {
    return compare(
      () => this.browserYears.find(ALL),
      () => this.live.find(BrowserYear, ALL),
    );
  }
}
