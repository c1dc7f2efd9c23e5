#include outputs.glsl
#if COLOUR
#include lit.glsl
uniform sampler2D noise_map;
in vec3 f_point;
in vec2 f_wall;
flat in vec3 f_normal;
flat in vec4 f_paint;
flat in vec4 f_light;
flat in vec2 f_extent;

const float FLOOR_M = 3.1;

float random(vec2 cell, float seed) {
    return fract(sin(dot(cell, vec2(12.9898, 78.233)) + seed * 91.7) * 4375.85453);
}

// Share of a pixel of width w inside |x| < half.
vec2 inside(vec2 x, vec2 half_size, vec2 w) {
    return clamp((half_size - abs(x)) / w + 0.5, 0.0, 1.0);
}
#endif
flat in vec4 f_label;

void main() {
#if COLOUR
    vec3 ray = f_point - eye.xyz;
    float distance_m = length(ray);
    ray /= distance_m;
    float seed = floor(f_paint.a * 255.0 + 0.5);
    vec3 dice = fract(seed * vec3(0.618034, 0.414214, 0.732051));
    bool glassy = dice.x > 0.72 && f_extent.y > 12.0;
    bool brick = !glassy && dice.x < 0.34;
    bool shop = dice.y > 0.45;

    // Whole numbers of bays along the wall and of floors up to its edge.
    float bay = glassy ? 1.6 : mix(2.4, 3.6, dice.z);
    float bays = max(floor(f_extent.x / bay), 1.0);
    bay = f_extent.x / bays;
    vec2 place = vec2(f_wall.x / bay + 0.5 * bays, f_wall.y / FLOOR_M);
    vec2 cell = floor(place);
    vec2 within = (fract(place) - 0.5) * vec2(bay, FLOOR_M);
    vec2 w = clamp(fwidth(f_wall) * 0.9, 0.01, 3.0);
    bool ground_floor = cell.y < 0.5;

    vec2 half_size = glassy ? vec2(bay * 0.5 - 0.06, 1.30)
        : vec2(bay * mix(0.22, 0.36, dice.y), mix(0.65, 0.85, dice.z));
    bool store = shop && ground_floor;
    half_size = store ? vec2(bay * 0.45, 1.15) : half_size;
    float above = f_extent.y - f_wall.y;
    float top = step(0.9, above - (FLOOR_M - fract(place.y) * FLOOR_M) + FLOOR_M);
    vec2 cover = inside(within - vec2(0.0, store ? -0.25 : 0.10), half_size, w);
    float window = cover.x * cover.y * top;
    vec2 frame_cover = inside(within - vec2(0.0, store ? -0.25 : 0.10), half_size + (glassy ? 0.0 : 0.09), w);
    float frame = frame_cover.x * frame_cover.y * top - window;
    // Glazing bar.
    float bar = inside(within, vec2(0.03), w).x * window * float(!glassy && !store);

    float chance = random(cell, seed);
    vec4 grain = texture(noise_map, f_wall * 0.11 + dice.xy);
    vec3 wall = f_paint.rgb * (0.84 + 0.32 * grain.r);
    if (brick) wall = mix(wall, vec3(0.26, 0.11, 0.07), 0.75) * (0.8 + 0.4 * grain.g);
    // Courses of bricks close by, storeys of a plastered front further away.
    vec2 course = abs(fract(vec2(f_wall.x / 0.25 + 0.5 * step(0.5, fract(f_wall.y / 0.16)), f_wall.y / 0.08)) - 0.5);
    float joint = max(step(0.46, course.x), step(0.40, course.y));
    wall *= 1.0 + (brick ? 0.35 * (joint - 0.25) * clamp(1.4 - w.y / 0.05, 0.0, 1.0) : 0.0);
    float band = inside(vec2(within.y - 0.5 * FLOOR_M + 0.12), vec2(0.09), vec2(w.y)).x;
    wall *= 1.0 - 0.18 * band * float(!brick);
    wall *= mix(0.72, 1.0, clamp(f_wall.y * 0.8, 0.0, 1.0));
    wall = glassy ? vec3(0.09, 0.10, 0.11) : wall;
    wall = mix(wall, store ? vec3(0.08) : vec3(0.62, 0.62, 0.60) * (0.5 + 0.5 * dice.z), clamp(frame + bar, 0.0, 1.0));

    vec3 light = f_light.rgb;
    float sun = 0.0;
#if SHADOWS
    sun = f_light.a * sunlit(f_point + 0.12 * f_normal);
    light += sun_rgb_.rgb * sun;
#endif
#if NIGHT
    light += lamplight(f_point, f_normal) + beamlight(f_point, f_normal, 0, 1);
#endif
    vec3 color = wall * light;

    // Windows mirror the sky, or the houses across the street, over a dark or curtained room.
    float facing = clamp(-dot(ray, f_normal), 0.0, 1.0);
    float edge = 1.0 - facing;
    edge = edge * edge * edge;
    vec3 bounced = ray + 2.0 * facing * f_normal;
    float wobble = (random(cell, seed + 3.0) - 0.5) * 0.10;
    float skyline = smoothstep(0.05, 0.35, bounced.z + wobble);
    vec3 mirrored = mix(light * 0.16, mix(horizon_rgb_.rgb, zenith_rgb_.rgb, max(bounced.z, 0.0)), skyline);
    float curtain = step(0.62, chance) * float(!glassy && !store);
    vec3 room = mix(vec3(0.015, 0.017, 0.02), vec3(0.30, 0.29, 0.26), curtain * 0.7) * light;
    vec3 pane = mix(room, mirrored, 0.14 + (glassy ? 0.28 : 0.10) + 0.6 * edge);
#if NIGHT
    float lit = step(mix(0.93, 0.62, glow_rgb_.w), random(cell + 17.0, seed));
    lit = store ? step(0.3, dice.z) : lit;
    vec3 warm = mix(vec3(1.0, 0.70, 0.36), vec3(0.85, 0.92, 1.0), float(glassy || store) * 0.7);
    pane += warm * lit * (store ? 0.50 : 0.30 * (0.35 + random(cell + 5.0, seed))) * (0.75 + 0.5 * curtain);
#endif
    color = mix(color, pane, window - bar);
    out_color = vec4(shown(hazy(color, ray, distance_m)), 1.0);
#endif
#if LABELS
    out_label = vec4(f_label.xyz, 0.0);
    out_depth = 1.0 / gl_FragCoord.w;
#endif
}
