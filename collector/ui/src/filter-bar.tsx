// The filters in force that clicks on marks and cells have made.

import { filterText, type Filter } from "./kibana.ts";
import type { View } from "./state.ts";

interface Properties {
  filters: Filter[];
  go(change: Partial<View>): void;
}

export function FilterBar({ filters, go }: Properties) {
  if (filters.length === 0) return null;
  const at = (place: number, change: Filter | null) =>
    go({ filters: filters.flatMap((one, index) => (index !== place ? [one] : change === null ? [] : [change])) });
  return (
    <div class="filters" role="group" aria-label="Filters">
      {filters.map((filter, place) => (
        <span class={`filter${filter.negate ? " negated" : ""}`} key={JSON.stringify(filter)}>
          <button
            class="plain"
            title={filter.negate ? "Show only these" : "Leave these out instead"}
            onClick={() => at(place, { ...filter, negate: !filter.negate })}
          >
            {filter.negate && "not "}
            {filterText(filter)}
          </button>
          <button class="plain" aria-label={`Remove the filter ${filterText(filter)}`} title="Remove" onClick={() => at(place, null)}>
            ×
          </button>
        </span>
      ))}
      {filters.length > 1 && <button onClick={() => go({ filters: [] })}>Remove all</button>}
    </div>
  );
}
