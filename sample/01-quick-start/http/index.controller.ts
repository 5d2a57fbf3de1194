import { Controller, Get } from '@nestjs/common';
import { type Endpoint, ENDPOINTS } from './endpoints.constants.js';

@Controller()
export class IndexController {
  @Get()
  list(): Endpoint[] {
    return ENDPOINTS;
  }
}
