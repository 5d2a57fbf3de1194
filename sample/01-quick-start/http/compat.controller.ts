import { Controller, Get, NotFoundException, Param } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Repository } from 'typeorm';
import { AdoptionYear } from '../views/adoption-year.view.js';
import { BrowserYear } from '../views/browser-year.view.js';
import { FeatureLag } from '../views/feature-lag.view.js';
import { type LiveFindOptions, LiveQueryService } from '../views/live-query.service.js';
import { compare, type Comparison } from './comparison.js';

/** Each answer is read from a view and by a live query, and says how long each took. */
@Controller()
export class CompatController {
  constructor(
    @InjectRepository(BrowserYear) private readonly browserYears: Repository<BrowserYear>,
    @InjectRepository(FeatureLag) private readonly featureLags: Repository<FeatureLag>,
    @InjectRepository(AdoptionYear) private readonly adoptionYears: Repository<AdoptionYear>,
    private readonly live: LiveQueryService,
  ) {}

  @Get('browsers/:browser/years')
  async years(@Param('browser') browser: string): Promise<Comparison<BrowserYear>> {
    const options: LiveFindOptions<BrowserYear> = { where: { browser }, order: { year: 'ASC' } };
    return found(
      await compare(
        () => this.browserYears.find(options),
        () => this.live.find(BrowserYear, options),
      ),
    );
  }

  @Get('areas/:area/slowest-features')
  async slowestFeatures(@Param('area') area: string): Promise<Comparison<FeatureLag>> {
    const options: LiveFindOptions<FeatureLag> = {
      where: { area },
      order: { days: 'DESC', feature: 'ASC' },
      take: 10,
    };
    return found(
      await compare(
        () => this.featureLags.find(options),
        () => this.live.find(FeatureLag, options),
      ),
    );
  }

  @Get('areas/:area/adoption')
  async adoption(@Param('area') area: string): Promise<Comparison<AdoptionYear>> {
    const options: LiveFindOptions<AdoptionYear> = { where: { area }, order: { year: 'ASC' } };
    return found(
      await compare(
        () => this.adoptionYears.find(options),
        () => this.live.find(AdoptionYear, options),
      ),
    );
  }
}

function found<Row>(comparison: Comparison<Row>): Comparison<Row> {
  if (comparison.rows.length === 0) {
    throw new NotFoundException();
  }
  return comparison;
}
