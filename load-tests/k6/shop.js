// The specification's user flow: list, detail, search, with its thresholds.
//
//   k6 run load-tests/k6/shop.js                          30 s, 10 users
//   SCENARIO=load BASE_URL=http://localhost:3000 k6 run load-tests/k6/shop.js
//
// All users come from one address: give the gateway's rate limiter, where one is configured, this
// machine's address as a load generator first.

import http from 'k6/http';
import { check, sleep } from 'k6';
import { Rate } from 'k6/metrics';

const errors = new Rate('errors');
const BASE_URL = __ENV.BASE_URL || 'http://localhost:3000';

const scenarios = {
  smoke: { executor: 'constant-vus', vus: 10, duration: '30s' },
  load: {
    executor: 'ramping-vus',
    stages: [
      { duration: '1m', target: 50 },
      { duration: '3m', target: 100 },
      { duration: '1m', target: 0 },
    ],
  },
  stress: {
    executor: 'ramping-vus',
    stages: [
      { duration: '2m', target: 100 },
      { duration: '5m', target: 200 },
      { duration: '2m', target: 300 },
      { duration: '1m', target: 0 },
    ],
  },
  spike: {
    executor: 'ramping-vus',
    stages: [
      { duration: '30s', target: 100 },
      { duration: '1m', target: 100 },
      { duration: '30s', target: 500 },
      { duration: '3m', target: 100 },
    ],
  },
};

const scenario = __ENV.SCENARIO || 'smoke';

export const options = {
  scenarios: { [scenario]: scenarios[scenario] },
  thresholds: {
    http_req_duration: ['p(95)<500', 'p(99)<1000'],
    http_req_failed: ['rate<0.01'],
    checks: ['rate>0.99'],
    errors: ['rate<0.01'],
  },
};

function step(name, path, expectations) {
  const answer = http.get(`${BASE_URL}${path}`, { tags: { name } });
  errors.add(!check(answer, expectations));
}

export default function () {
  step('list', '/api/v1/products', {
    'list is 200': (r) => r.status === 200,
    'list within 500 ms': (r) => r.timings.duration < 500,
    'list has products': (r) => JSON.parse(r.body).data.products.length > 0,
  });
  sleep(1);

  step('detail', '/api/v1/products/1', {
    'detail is 200': (r) => r.status === 200,
    'detail within 300 ms': (r) => r.timings.duration < 300,
  });
  sleep(1);

  step('search', '/api/v1/products?search=café', {
    'search is 200': (r) => r.status === 200,
    'search within 800 ms': (r) => r.timings.duration < 800,
  });
  sleep(2);
}
