#include outputs.glsl
#if COLOUR
#include lit.glsl
uniform sampler2D noise_map;
in vec3 f_point;
in vec2 f_wall;
flat in vec3 f_normal;
flat in vec4 f_paint;
flat in vec4 f_light;
flat in vec4 f_window;
flat in vec4 f_style;

const float FLOOR_M = 3.1;

// Random number of a window (Hoskins' hash without sine).
float random(vec2 cell, float seed) {
    vec3 p = fract(vec3(cell.xy, seed) * 0.1031 + 0.217);
    p += dot(p, p.yzx + 33.33);
    return fract((p.x + p.y) * p.z);
}
#endif
flat in vec4 f_label;

void main() {
#if COLOUR
    vec3 ray = f_point - eye.xyz;
    float per_length = inversesqrt(dot(ray, ray));
    float distance_m = 1.0 / per_length;
    ray *= per_length;
    float glassy = f_style.x;
    float bay = f_window.x;

    vec2 place = vec2(f_wall.x, f_wall.y / FLOOR_M);
    vec2 cell = floor(place);
    vec2 within = (place - cell - 0.5) * vec2(bay, FLOOR_M);
    vec2 per_width = 1.0 / clamp(fwidth(vec2(f_wall.x * bay, f_wall.y)), 0.015, 3.0);
    float store = f_style.z * float(cell.y < 0.5);
    vec2 half_size = mix(f_window.yz, vec2(bay * 0.45, 1.12), store);
    float lift = mix(0.10, -0.22, store);
    // No window in a storey that the roof cuts off.
    float whole = float((cell.y + 0.92) * FLOOR_M < f_window.w);
    vec2 gap = half_size - abs(within - vec2(0.0, lift));
    vec2 cover = clamp(gap * per_width + 0.5, 0.0, 1.0);
    vec2 framed = clamp((gap + 0.08) * per_width + 0.5, 0.0, 1.0);
    float pane_share = cover.x * cover.y * whole;
    float bar = clamp((0.03 - abs(within.x)) * per_width.x + 0.5, 0.0, 1.0) * (1.0 - glassy);
    pane_share *= 1.0 - bar * (1.0 - store);
    float frame = framed.x * framed.y * whole - pane_share;

    float chance = random(cell, f_paint.a);
    float second = fract(chance * 61.7), third = fract(chance * 193.3);
    float near = clamp(1.25 - 0.020 * distance_m, 0.0, 1.0);
    vec4 grain = textureLod(noise_map, f_wall * vec2(0.11 * bay, 0.11) + f_paint.a * 0.37, 2.0);
    vec3 wall = f_paint.rgb * (1.0 + 0.28 * near * (grain.b - 0.5));
    float courses = f_style.y * clamp(per_width.y * 0.05 - 0.3, 0.0, 1.0);
    vec2 brick = abs(fract(vec2(f_wall.x * bay * 4.0 + 0.5 * floor(f_wall.y * 12.5), f_wall.y * 12.5)) - 0.5);
    wall *= 1.0 + courses * (0.40 * float(max(brick.x - 0.04, brick.y) > 0.40) - 0.10 + 0.25 * (grain.r - 0.5));
    // A string course under every floor of a plastered front, dirt near the street.
    float band = clamp((0.09 - abs(within.y + 0.5 * FLOOR_M - 0.12)) * per_width.y + 0.5, 0.0, 1.0);
    wall *= 1.0 - 0.16 * band * (1.0 - f_style.y);
    wall *= mix(0.74, 1.0, clamp(f_wall.y * 0.9, 0.0, 1.0));
    wall = mix(wall, vec3(f_style.w), frame);

    vec3 light = f_light.rgb;
#if SHADOWS
    if (f_light.a > 0.0) light += sun_rgb_.rgb * (f_light.a * sunlit(f_point + 0.12 * f_normal));
#endif
#if NIGHT
    light += lamplight(f_point, f_normal) + beamlight(f_point, f_normal, 0, 1);
#endif
    // Windows mirror the sky, or the houses across the street, over a dark or curtained room.
    float facing = clamp(-dot(ray, f_normal), 0.0, 1.0);
    float edge = 1.0 - facing;
    edge *= edge * edge;
    float up = ray.z + (second - 0.5) * 0.10;
    float skyline = clamp(up * 3.5 - 0.15, 0.0, 1.0);
    vec3 mirrored = mix(light * 0.14, mix(horizon_rgb_.rgb, zenith_rgb_.rgb, max(up, 0.0)), skyline);
    float curtain = float(chance > 0.62) * (1.0 - glassy) * (1.0 - store);
    // Goods in a shop window, a sill of light above.
    float goods = store * clamp(grain.b * 2.2 - 0.5 - within.y * 0.6, 0.0, 1.0);
    vec3 room = (vec3(0.016, 0.018, 0.021) + vec3(0.20, 0.19, 0.175) * curtain + vec3(0.11, 0.085, 0.07) * goods) * light;
    vec3 pane = mix(room, mirrored, 0.16 + 0.22 * glassy + 0.6 * edge);
#if NIGHT
    float lit = float(third > mix(0.95, 0.66, glow_rgb_.w));
    lit = mix(lit, float(fract(f_paint.a * 0.732051) > 0.35), store);
    vec3 warm = mix(vec3(1.0, 0.66, 0.32), vec3(0.86, 0.92, 1.0), step(0.5, glassy + store * second));
    pane += warm * (lit * mix(0.10 + 0.30 * second * second, 0.10 + 0.45 * goods, store) * (0.7 + 0.3 * curtain));
#endif
    vec3 color = mix(wall * light, pane, pane_share);
    out_color = vec4(shown(hazy(color, distance_m)), 1.0);
#endif
#if LABELS
    out_label = vec4(f_label.xyz, 0.0);
    out_depth = 1.0 / gl_FragCoord.w;
#endif
}
